"""`ops doctor`: looks at everything that a delivery needs, and says what is missing and how to mend it."""
