"""What breaks while a command works, and what its files may hold: every end is a result or one line."""
