"""The mutation check: bugs are planted into the pure files, one at a time, and the tests have to catch them."""
