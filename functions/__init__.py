"""One endpoint family, one folder, one Lambda."""
