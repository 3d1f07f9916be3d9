"""tusdrive: a resumable upload server that loses nothing."""

__version__ = "0.1.0"
