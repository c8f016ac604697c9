"""`python -m pspnet`."""

from pspnet.cli import main

if __name__ == "__main__":
    main()
