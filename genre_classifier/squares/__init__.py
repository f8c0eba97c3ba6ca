"""The parts of the moving-squares companion; `genre_classifier.moving_squares` is its front."""
