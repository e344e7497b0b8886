{
  const openers = [...document.querySelectorAll("[data-open-volume]")];
  const textOf = (id) => document.getElementById(id).textContent;
  const unpack = async (id) => {
    const packed = Uint8Array.from(atob(textOf(id)), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  };
  // NiiVue's bundle speaks to a notebook's model; this one has values and listeners, no notebook.
  const makeModel = (values, models) => {
    const listeners = new Map(), waiting = new Map();
    return {
      get: (key) => values[key],
      set: (key, value) => { values[key] = value; },
      on: (event, listener) => listeners.set(event, [...(listeners.get(event) ?? []), listener]),
      off: () => {},
      save_changes: () => {},
      send_sync_message: () => "",
      send: (message) => { if (message.event === "image_loaded") waiting.get(message.data.id)?.(); },
      fire: (event, ...given) => Promise.all((listeners.get(event) ?? []).map((f) => f(...given))),
      loaded: (id) => new Promise((done) => waiting.set(id, done)),
      widget_manager: { get_model: async (id) => models.get(id) },
    };
  };
  const models = new Map(), noFile = { name: null, data: null };
  const makeVolume = (values) => {
    const id = `${values.name}_py`, key = `IPY_MODEL_${id}`;
    models.set(id, makeModel({
      id, path: noFile, paired_img_path: noFile, url: "", opacity: 1, colorbar_visible: false,
      colormap_type: 0, frame_4d: 0, ...values, name: `${values.name}.nii`,
    }, models));
    return { id, key };
  };
  let view, last = Promise.resolve();
  const start = async (host) => {
    const address = URL.createObjectURL(new Blob([await unpack("niivue")], { type: "text/javascript" }));
    const { default: widget } = await import(address);
    URL.revokeObjectURL(address);
    const model = makeModel({
      volumes: [], meshes: [], height: innerWidth < 600 ? 420 : 330, draw_opacity: 0.8, overlay_outline_width: 0,
      overlay_alpha_shader: 1, background_masks_overlays: false, draw_fill_overwrites: true,
      opts: {
        sliceType: 3, isRadiologicalConvention: true, sagittalNoseLeft: true, multiplanarShowRender: 0, show3Dcrosshair: false,
        backColor: [0, 0, 0, 1], crosshairColor: [0.55, 0.85, 0.6, 0.7], crosshairWidth: 0.5, crosshairGap: 6, isNearestInterpolation: false, dragAndDropEnabled: false,
        isColorbar: false, logLevel: "error", yoke3Dto2DZoom: false,
      },
    }, models);
    await widget.initialize({ model });
    await widget.render({ model, el: host });
    for (const [name, colours] of Object.entries(JSON.parse(textOf("volume-colours"))))
      await model.fire("msg:custom", { type: "add_colormap", data: [name, colours] }, []);
    return model;
  };
  const show = async (box) => {
    const host = box.querySelector(".canvas"), choice = box.querySelector("select");
    const facts = JSON.parse(box.dataset.volume), method = choice.value;
    view ??= { host: document.createElement("div") };
    host.append(view.host);
    view.model ??= await start(view.host);
    view.model.set("volumes", []);
    await view.model.fire("change:volumes");
    const volumes = [makeVolume({
      name: `${facts.id}-image-${Math.random()}`, data: { buffer: await unpack(`${facts.id}-image`), byteLength: 1 },
      colormap: "gray", cal_min: facts.window[0], cal_max: facts.window[1],
    })];
    if (method) {
      const scale = facts.scales[method];
      volumes.push(makeVolume({
        name: `${facts.id}-${method}-${Math.random()}`, data: { buffer: await unpack(`${facts.id}-${method}`), byteLength: 1 },
        colormap: "for", colormap_negative: "against", cal_min: 0.7 * scale, cal_max: scale,
        // Of type 2 values fade below cal_min by its square; NiiVue takes no alpha of a colour map.
        colormap_type: 2, cal_min_neg: -scale, cal_max_neg: -0.7 * scale,
      }));
    }
    view.model.set("volumes", volumes.map((volume) => volume.key));
    await view.model.fire("change:volumes");
    if (view.box !== box) {
      view.model.set("scene", { crosshairPos: facts.start });
      await view.model.fire("change:scene");
      view.box = box;
    }
    await view.model.fire("msg:custom", { type: "resize_listener", data: [] }, []);
    for (const key of [...models.keys()]) if (!volumes.some((volume) => volume.id === key)) models.delete(key);
    box.dataset.ready = method || "image";
  };
  const hasGraphics = () => Boolean(document.createElement("canvas").getContext("webgl2"));
  for (const opener of openers) {
    const box = document.getElementById(opener.dataset.openVolume), told = box.querySelector("output");
    const run = () => {
      delete box.dataset.ready;
      last = last.then(() => show(box)).then(() => { told.textContent = ""; }, (error) => {
        told.textContent = `The volume cannot be shown here (${error.message}). The pictures above hold its slices.`;
      });
    };
    opener.addEventListener("click", () => {
      for (const other of document.querySelectorAll(".volume")) other.hidden = other !== box;
      for (const other of openers) other.hidden = other === opener;
      if (!hasGraphics()) { told.textContent = "This browser has no WebGL. The pictures above hold the slices."; return; }
      told.textContent = "Opening …";
      run();
    });
    box.querySelector("select").addEventListener("change", run);
  }
}
