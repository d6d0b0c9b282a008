"""Approximate differentiable renderers, each as its paper defines it, small and in torch: see `python -m benchmarks bias`.

| module | what | paper |
|---|---|---|
| `softras` | soft silhouettes and soft colours | Liu, Li, Chen, Li: Soft Rasterizer. ICCV 2019 |
| `opendr` | differences of the image along flow | Loper, Black: OpenDR. ECCV 2014 |
| `neural_mesh_renderer` | hard pixels, ramps instead of steps | Kato, Ushiku, Harada: Neural 3D Mesh Renderer. CVPR 2018 |
| `rotation` | rays that turn with what moves | Loubet, Holzschuch, Jakob. SIGGRAPH Asia 2019 |
| `difference_sampling` | edges found along lines, speeds by differences | edge sampling (Li et al. 2018) without a list of edges |

`world` is what they all look at, `cases` the four scenes with exact images, `screen` what rasterisers share, `traced` the same
scenes for Mitsuba.
"""
