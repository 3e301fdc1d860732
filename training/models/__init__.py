"""Planner, visualizer and VAE in PyTorch, at any size by configuration."""

from training.models.config import ModelConfig, config_from_dict, named_config
from training.models.planner import Planner
from training.models.vae import VAE
from training.models.visualizer import Visualizer

__all__ = ["VAE", "ModelConfig", "Planner", "Visualizer", "config_from_dict", "named_config"]
