"""What the twin shows people in a browser."""
