"""The source kind ``pushprox``: clients of PushProx that poll us, and what is scraped on them."""
