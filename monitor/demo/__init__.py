"""The demo: systems of real servers that can be broken, and a stand-in for the people who are paged."""
