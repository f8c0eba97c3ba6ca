"""What several tests share: media, folders, tiny networks, oracles."""
