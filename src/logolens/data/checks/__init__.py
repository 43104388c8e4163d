"""What is odd about a data set, as its reading has seen it."""
