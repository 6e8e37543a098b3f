"""What campaigns have changed, against their randomised controls."""
