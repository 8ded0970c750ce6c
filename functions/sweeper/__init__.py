"""Every minute: gives back what crashed calls hold, and sees to forgotten jobs."""
