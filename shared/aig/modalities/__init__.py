"""What each modality takes, gives and counts. No IO."""
