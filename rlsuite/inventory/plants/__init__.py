"""Rules and rolling mixed-integer plans for lot-sizing plants."""
