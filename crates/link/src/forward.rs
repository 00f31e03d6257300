/// Makes an enum whose variants each hold a link a link itself: every call goes to the one that it
/// holds. A variant may have a `#[cfg]`.
#[macro_export]
macro_rules! forward_link {
    ($kind:ty { $($(#[$attribute:meta])* $variant:ident),+ $(,)? }) => {
        impl $crate::Link for $kind {
            fn info(&self) -> &$crate::PortInfo {
                match self {
                    $($(#[$attribute])* Self::$variant(link) => link.info(),)+
                }
            }

            async fn read(
                &mut self,
                buffer: &mut [u8],
                deadline: $crate::Instant,
            ) -> Result<usize, $crate::LinkError> {
                match self {
                    $($(#[$attribute])* Self::$variant(link) => link.read(buffer, deadline).await,)+
                }
            }

            async fn write(&mut self, bytes: &[u8]) -> Result<(), $crate::LinkError> {
                match self {
                    $($(#[$attribute])* Self::$variant(link) => link.write(bytes).await,)+
                }
            }

            async fn set_baud(&mut self, baud: u32) -> Result<(), $crate::LinkError> {
                match self {
                    $($(#[$attribute])* Self::$variant(link) => link.set_baud(baud).await,)+
                }
            }

            fn baud(&self) -> u32 {
                match self {
                    $($(#[$attribute])* Self::$variant(link) => link.baud(),)+
                }
            }

            async fn set_lines(&mut self, lines: $crate::Lines) -> Result<(), $crate::LinkError> {
                match self {
                    $($(#[$attribute])* Self::$variant(link) => link.set_lines(lines).await,)+
                }
            }

            async fn keep_lines(&mut self) -> Result<(), $crate::LinkError> {
                match self {
                    $($(#[$attribute])* Self::$variant(link) => link.keep_lines().await,)+
                }
            }

            async fn discard_input(&mut self) -> Result<(), $crate::LinkError> {
                match self {
                    $($(#[$attribute])* Self::$variant(link) => link.discard_input().await,)+
                }
            }

            async fn reopen(&mut self) -> Result<(), $crate::LinkError> {
                match self {
                    $($(#[$attribute])* Self::$variant(link) => link.reopen().await,)+
                }
            }

            fn now(&self) -> $crate::Instant {
                match self {
                    $($(#[$attribute])* Self::$variant(link) => link.now(),)+
                }
            }

            async fn sleep(&mut self, time: ::core::time::Duration) -> Result<(), $crate::LinkError> {
                match self {
                    $($(#[$attribute])* Self::$variant(link) => link.sleep(time).await,)+
                }
            }
        }
    };
}
