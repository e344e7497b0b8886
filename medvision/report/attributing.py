"""What the methods section cites of attribution methods, by their names."""

CITATIONS = {
    "saliency": "Simonyan K et al. Deep inside convolutional networks: visualising "
    "image classification models and saliency maps. 2013. arXiv:1312.6034.",
    "smoothgrad": "Smilkov D et al. SmoothGrad: removing noise by adding noise. 2017. "
    "arXiv:1706.03825.",
    "input_x_gradient": "Shrikumar A et al. Not just a black box: learning important features "
    "through propagating activation differences. 2016. arXiv:1605.01713.",
    "gradient_shap": "Erion G et al. Improving performance of deep learning models with axiomatic "
    "attribution priors and expected gradients. Nat Mach Intell 2021. "
    "doi:10.1038/s42256-021-00343-w.",
    "deeplift": "Shrikumar A, Greenside P, Kundaje A. Learning important features through "
    "propagating activation differences. ICML 2017. arXiv:1704.02685.",
    "guided_backprop": "Springenberg JT et al. Striving for simplicity: the all convolutional net. "
    "2014. arXiv:1412.6806.",
    "guided_gradcam": "Selvaraju RR et al. Grad-CAM: visual explanations from deep networks via "
    "gradient-based localization. ICCV 2017. doi:10.1109/ICCV.2017.74.",
    "kernel_shap": "Lundberg SM, Lee SI. A unified approach to interpreting model predictions. "
    "NeurIPS 2017. arXiv:1705.07874.",
    "supervoxels": "Achanta R et al. SLIC superpixels compared to state-of-the-art superpixel "
    "methods. IEEE Trans Pattern Anal Mach Intell 2012. doi:10.1109/TPAMI.2012.120.",
}
