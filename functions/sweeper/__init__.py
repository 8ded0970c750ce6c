"""Every minute: gives back what crashed calls hold."""
