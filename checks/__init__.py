"""How to look: one file per kind of check, named as its kind."""
