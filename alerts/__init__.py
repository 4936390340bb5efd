"""What an answer means, whom to tell, and telling them."""
