"""Operations on a project's whole database: `compozy db`."""
