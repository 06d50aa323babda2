"""What records show: pure functions over them."""
