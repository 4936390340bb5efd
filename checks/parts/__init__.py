"""What kinds are made of: what several of them share, and a folder for each that takes more than one file."""
