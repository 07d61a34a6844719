"""Two releases of an endpoint beside each other on live outcomes, and the guard-rails that take a bad one back."""
