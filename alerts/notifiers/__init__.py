"""How to tell: one file per kind of notifier, named as its kind."""
