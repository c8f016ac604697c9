/* The network in onnxruntime-web, beside the page so that the page stays alive. */

import * as ort from "./onnxruntime-web/ort.wasm.bundle.min.mjs";

const wasm = "onnxruntime-web/ort-wasm-simd-threaded.wasm";
ort.env.wasm.wasmPaths = { wasm: new URL(wasm, self.location.href).href };
ort.env.wasm.numThreads = self.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
const opened = ort.InferenceSession.create("network.onnx", { executionProviders: ["wasm"] });
opened.catch(() => {}); // reported with the first picture

self.onmessage = async ({ data }) => {
  try {
    const session = await opened;
    const started = performance.now();
    const found = await session.run(inputs(session, data));
    const label = found.label.data.slice();
    const confidence = Uint16Array.from(found.confidence.data, (x) => Math.round(x * 65535));
    const milliseconds = performance.now() - started;
    self.postMessage({ label, confidence, milliseconds }, [label.buffer, confidence.buffer]);
  } catch (error) {
    self.postMessage({ error: error.message ?? String(error) });
  }
};

function inputs(session, { pixels, width, height, keep }) {
  const image = new Uint8Array(width * height * 3);
  for (let i = 0, j = 0; i < pixels.length; i += 4) {
    image[j++] = pixels[i];
    image[j++] = pixels[i + 1];
    image[j++] = pixels[i + 2];
  }
  const feeds = { image: new ort.Tensor("uint8", image, [1, height, width, 3]) };
  if (session.inputNames.includes("keep")) {
    feeds.keep = new ort.Tensor("float32", Float32Array.from(keep), [keep.length]);
  }
  return feeds;
}
