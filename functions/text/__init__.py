"""What is found out about texts: moderation, translation, classification, rerank."""
