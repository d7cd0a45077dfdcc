"""``python -m counterveil``: the command line."""

from counterveil.cli import main

if __name__ == "__main__":
    main()
