"""Writes pil-operations.json: what PIL makes of the cases in pil-operations.ts, as digests. Run by hand, with Pillow 9.4:
node scripts/run.js test/data/pil-operations-export.ts > cases.json && python3 test/data/pil-operations.py cases.json > test/data/pil-operations.json"""
import base64, hashlib, json, sys
from PIL import Image, ImageEnhance, ImageOps

FILL = (124, 116, 104)
digests = {}
for case in json.load(open(sys.argv[1])):
    image = Image.frombytes('RGB', (case['width'], case['height']), base64.b64decode(case['data']))
    a, options = case['argument'], dict(fillcolor=FILL, resample=Image.BICUBIC if case['filter'] == 'bicubic' else Image.BILINEAR)
    affine = lambda m: image.transform(image.size, Image.AFFINE, m, **options)
    result = {
        'autocontrast': lambda: ImageOps.autocontrast(image),
        'equalize': lambda: ImageOps.equalize(image),
        'invert': lambda: ImageOps.invert(image),
        'solarize': lambda: ImageOps.solarize(image, a),
        'solarizeAdd': lambda: image.point([min(255, i + a) if i < 128 else i for i in range(256)] * 3),
        'posterize': lambda: ImageOps.posterize(image, a),
        'color': lambda: ImageEnhance.Color(image).enhance(a),
        'contrast': lambda: ImageEnhance.Contrast(image).enhance(a),
        'brightness': lambda: ImageEnhance.Brightness(image).enhance(a),
        'sharpness': lambda: ImageEnhance.Sharpness(image).enhance(a),
        'rotate': lambda: image.rotate(a, **options),
        'shearX': lambda: affine((1, a, 0, 0, 1, 0)),
        'shearY': lambda: affine((1, 0, 0, a, 1, 0)),
        'translateX': lambda: affine((1, 0, a, 0, 1, 0)),
        'translateY': lambda: affine((1, 0, 0, 0, 1, a)),
    }[case['operation']]()
    digests.setdefault(case['operation'], hashlib.sha256()).update(result.tobytes())
print(json.dumps({name: digest.hexdigest() for name, digest in digests.items()}, indent=1))
