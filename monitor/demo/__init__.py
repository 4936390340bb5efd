"""The demo estate: real servers, a shop that uses them, and a stand-in for the people who are paged."""
