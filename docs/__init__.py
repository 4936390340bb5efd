"""The documentation, what of it is made from the code, and the checks that keep the rest true."""
