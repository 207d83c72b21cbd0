"""The pages of PushProx: where its clients poll and push, and where their targets are scraped."""
