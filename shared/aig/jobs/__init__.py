"""Jobs: what they are, how long they may take, how they are shown. All of it pure."""
