"""What has become of jobs."""
