"""What a user asks: an experiment as JSON, its patches, recipes and complaints."""
