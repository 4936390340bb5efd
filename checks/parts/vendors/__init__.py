"""Other services' protocols and answers, pure."""
