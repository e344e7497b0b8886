"""`python -m medvision`, which is how torchrun starts each process."""

from medvision.cli.main import main

if __name__ == "__main__":
    main()
