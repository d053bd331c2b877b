"""Tables and connections of the real PostgreSQL that `postgres` of tests/conftest.py starts."""

import pytest
from engines import postgres_table

from runoff.types import Document


@pytest.fixture(scope="session")
def pool(postgres):
    """A pool of four connections."""
    psycopg_pool = pytest.importorskip("psycopg_pool")
    with psycopg_pool.ConnectionPool(postgres, min_size=1, max_size=4, open=True) as made:
        yield made


@pytest.fixture
def execute(postgres):
    """Return what runs statements."""
    import psycopg

    def execute(*statements):
        with psycopg.connect(postgres) as connection:
            for statement in statements:
                connection.execute(statement)

    return execute


@pytest.fixture(scope="session")
def held():
    """Two hundred documents."""
    return [Document(f"d{n:03}", f"word{n} fish", {"n": n}) for n in range(200)]


@pytest.fixture(scope="session")
def table(postgres, held):
    """A table of them."""
    return postgres_table(postgres, held)
