"""Single episodes as a person looks at them: text, pictures, films, an environment at rest."""
