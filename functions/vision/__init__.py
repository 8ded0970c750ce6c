"""What is to be seen in pictures and documents."""
