"""What an account has used, told to it: a day's summary, and the thresholds that it has set."""
