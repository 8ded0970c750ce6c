"""Workers AI by its own endpoint, `/run/<model>`: what its OpenAI-compatible one does not have."""

from aig_providers import wire
from aig_providers.cloudflare.classify import CloudflareClassify
from aig_providers.cloudflare.detect import CloudflareDetect
from aig_providers.cloudflare.image import CloudflareImage
from aig_providers.cloudflare.moderate import CloudflareModerate
from aig_providers.cloudflare.rerank import CloudflareRerank
from aig_providers.cloudflare.speak import CloudflareSpeak
from aig_providers.cloudflare.transcribe import CloudflareTranscribe
from aig_providers.cloudflare.translate import CloudflareTranslate


class Cloudflare:
    image = CloudflareImage(wire.CLIENT.post)
    transcribe = CloudflareTranscribe(wire.CLIENT.post)
    speak = CloudflareSpeak(wire.CLIENT.post)
    moderate = CloudflareModerate(wire.CLIENT.post)
    translate = CloudflareTranslate(wire.CLIENT.post)
    classify = CloudflareClassify(wire.CLIENT.post)
    detect = CloudflareDetect(wire.CLIENT.post)
    rerank = CloudflareRerank(wire.CLIENT.post)


ADAPTER = Cloudflare()
