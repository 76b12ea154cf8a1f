//! Computes on a GPU and says whether the numbers were right: `antihate-gpu-probe LIBCUDA [GPU-UUID]`.
//!
//! A program of its own, linked dynamically, because the driver's library can only be loaded by one. It ends itself when that takes too long.

use nix::libc;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::process::ExitCode;

/// A kernel: each number becomes three times itself and seven.
const KERNEL: &str = ".version 6.3\n.target TARGET\n.address_size 64\n.visible .entry compute(.param .u64 p, .param .u32 n) {\n\
    .reg .pred %q; .reg .b32 %r<6>; .reg .b64 %d<4>;\n\
    ld.param.u64 %d1, [p]; ld.param.u32 %r1, [n];\n\
    mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x; mad.lo.s32 %r2, %r2, %r3, %r4;\n\
    setp.ge.u32 %q, %r2, %r1; @%q bra END;\n\
    cvta.to.global.u64 %d1, %d1; mul.wide.u32 %d2, %r2, 4; add.s64 %d3, %d1, %d2;\n\
    ld.global.u32 %r5, [%d3]; mad.lo.u32 %r5, %r5, 3, 7; st.global.u32 [%d3], %r5;\nEND: ret;\n}\n\0";
/// What the kernel is made for: the oldest cards that new drivers know, then older ones for old drivers.
const TARGETS: [&str; 2] = ["sm_75", "sm_50"];
/// Numbers that are computed.
const NUMBERS: u32 = 4096;
/// Seconds after which a driver that hangs is given up.
const LIMIT: c_uint = 25;

type Device = c_int;
type Pointer = *mut c_void;

/// The driver's library.
struct Cuda(Pointer);

impl Cuda {
    fn load(path: &str) -> Result<Cuda, String> {
        let path = CString::new(path).map_err(|e| e.to_string())?;
        // SAFETY: a valid string; the library's own initialisers are trusted as the driver is.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        if handle.is_null() {
            // SAFETY: after a failed dlopen it names the reason.
            return Err(unsafe { CStr::from_ptr(libc::dlerror()) }.to_string_lossy().into_owned());
        }
        Ok(Cuda(handle))
    }

    /// The function `name`, which must have the type `F`.
    unsafe fn function<F: Copy>(&self, name: &'static CStr) -> Result<F, String> {
        // SAFETY: handle and name are valid.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        if found.is_null() {
            return Err(format!("the library has no {}", name.to_string_lossy()));
        }
        assert_eq!(size_of::<F>(), size_of::<Pointer>());
        // SAFETY: the caller names the type that the library documents.
        Ok(unsafe { std::mem::transmute_copy(&found) })
    }
}

/// Calls a function of the library and turns its code into words.
macro_rules! call {
    ($cuda:expr, $name:literal, ($($type:ty),*), $($value:expr),*) => {{
        // SAFETY: types are those of the driver's documentation; pointers are to live values.
        let code = unsafe { $cuda.function::<unsafe extern "C" fn($($type),*) -> c_int>($name)?($($value),*) };
        if code == 0 { Ok(()) } else { Err(told($cuda, $name, code)) }
    }};
}

fn told(cuda: &Cuda, name: &CStr, code: c_int) -> String {
    let mut text: *const c_char = std::ptr::null();
    // SAFETY: as above; the text is the library's own constant.
    let named = unsafe { cuda.function::<unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int>(c"cuGetErrorName").map(|f| f(code, &mut text)) };
    let word = if named == Ok(0) && !text.is_null() { unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned() } else { String::new() };
    format!("{}: error {code} {word}", name.to_string_lossy()).trim_end().to_owned()
}

fn uuid(cuda: &Cuda, device: Device) -> Result<String, String> {
    let mut raw = [0u8; 16];
    call!(cuda, c"cuDeviceGetUuid", (*mut u8, Device), raw.as_mut_ptr(), device)?;
    let hex: String = raw.iter().map(|b| format!("{b:02x}")).collect();
    Ok(format!("GPU-{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

/// The device with this number, or the first.
fn choose(cuda: &Cuda, wanted: Option<&str>) -> Result<(Device, String), String> {
    let mut count = 0;
    call!(cuda, c"cuDeviceGetCount", (*mut c_int), &mut count)?;
    for ordinal in 0..count {
        let mut device = 0;
        call!(cuda, c"cuDeviceGet", (*mut Device, c_int), &mut device, ordinal)?;
        let name = uuid(cuda, device)?;
        if wanted.is_none_or(|w| w.eq_ignore_ascii_case(&name)) {
            return Ok((device, name));
        }
    }
    Err(format!("the library shows {count} cards and {} is none of them", wanted.unwrap_or("the first")))
}

/// Computes; the error says what was not right.
fn compute(cuda: &Cuda, device: Device) -> Result<(), String> {
    let (mut context, mut module, mut function) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
    call!(cuda, c"cuDevicePrimaryCtxRetain", (*mut Pointer, Device), &mut context, device)?;
    call!(cuda, c"cuCtxSetCurrent", (Pointer), context)?;
    let load = |target: &str, module: &mut Pointer| {
        let text = KERNEL.replace("TARGET", target);
        call!(cuda, c"cuModuleLoadData", (*mut Pointer, *const u8), module, text.as_ptr())
    };
    TARGETS.iter().map(|t| load(t, &mut module)).reduce(|first, next| if first.is_ok() { first } else { next.or(first) }).expect("targets")?;
    call!(cuda, c"cuModuleGetFunction", (*mut Pointer, Pointer, *const c_char), &mut function, module, c"compute".as_ptr())?;
    let mut numbers: Vec<u32> = (0..NUMBERS).collect();
    let bytes = numbers.len() * 4;
    let mut memory = 0u64;
    call!(cuda, c"cuMemAlloc_v2", (*mut u64, usize), &mut memory, bytes)?;
    call!(cuda, c"cuMemcpyHtoD_v2", (u64, *const u32, usize), memory, numbers.as_ptr(), bytes)?;
    let mut count = NUMBERS;
    let mut values = [(&raw mut memory).cast::<c_void>(), (&raw mut count).cast::<c_void>()];
    call!(
        cuda, c"cuLaunchKernel",
        (Pointer, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Pointer, *mut Pointer, *mut Pointer),
        function, NUMBERS.div_ceil(256), 1, 1, 256, 1, 1, 0, std::ptr::null_mut(), values.as_mut_ptr(), std::ptr::null_mut()
    )?;
    call!(cuda, c"cuCtxSynchronize", (),)?;
    call!(cuda, c"cuMemcpyDtoH_v2", (*mut u32, u64, usize), numbers.as_mut_ptr(), memory, bytes)?;
    let wrong = numbers.iter().enumerate().filter(|(i, n)| **n != *i as u32 * 3 + 7).count();
    if wrong == 0 { Ok(()) } else { Err(format!("{wrong} of {NUMBERS} computed numbers are wrong")) }
}

fn prove(library: &str, wanted: Option<&str>) -> Result<String, String> {
    let cuda = &Cuda::load(library)?;
    call!(cuda, c"cuInit", (c_uint), 0)?;
    let (device, uuid) = choose(cuda, wanted)?;
    let (mut name, mut memory, mut version) = ([0 as c_char; 256], 0usize, 0);
    call!(cuda, c"cuDeviceGetName", (*mut c_char, c_int, Device), name.as_mut_ptr(), 255, device)?;
    call!(cuda, c"cuDeviceTotalMem_v2", (*mut usize, Device), &mut memory, device)?;
    call!(cuda, c"cuDriverGetVersion", (*mut c_int), &mut version)?;
    let capability = |what: c_int| -> Result<c_int, String> {
        let mut value = 0;
        call!(cuda, c"cuDeviceGetAttribute", (*mut c_int, c_int, Device), &mut value, what, device).map(|()| value)
    };
    // Numbers of the attributes: compute capability, major and minor.
    let (major, minor) = (capability(75)?, capability(76)?);
    compute(cuda, device)?;
    // SAFETY: the buffer ends with a zero byte, whatever the library wrote.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
    Ok(serde_json::json!({"name": name, "uuid": uuid, "memory": memory, "capability": format!("{major}.{minor}"), "cuda": version, "computed": NUMBERS}).to_string())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let Some(library) = args.get(1) else {
        eprintln!("antihate-gpu-probe LIBCUDA [GPU-UUID]");
        return ExitCode::from(2);
    };
    // SAFETY: an alarm ends this process and touches nothing else.
    unsafe { libc::alarm(LIMIT) };
    match prove(library, args.get(2).map(String::as_str)) {
        Ok(said) => println!("{said}"),
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
