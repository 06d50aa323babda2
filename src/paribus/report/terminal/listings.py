"""What `paribus list` can list; apart from `listing.py`, so that `--help` names them without its imports."""

LISTINGS = ("tasks", "models", "optimizers", "schedules", "recipes", "settings", "plugins")
