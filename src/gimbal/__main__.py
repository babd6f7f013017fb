"""`python -m gimbal` is `gimbal`."""

from gimbal.faces.cli.main import main

if __name__ == "__main__":
    main()
