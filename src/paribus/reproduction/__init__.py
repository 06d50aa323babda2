"""The source report's experiments as study files, for `paribus run`."""
