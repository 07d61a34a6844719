"""What flows and endpoints stand on: guard rails, network, tracking and features."""
